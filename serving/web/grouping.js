// Pulls shapes apart: the picture, the groups after every iteration, and what each group sees.

import { SHAPES, randomStart, shuffled, sizeOf, stamp } from "./pictures.js";

// Okabe and Ito's, which the colour-blind tell apart.
const COLORS = [[86, 180, 233], [230, 159, 0], [0, 158, 115], [204, 121, 167], [240, 228, 66],
  [213, 94, 0], [0, 114, 178], [200, 200, 200]];
const FRAME = 350; // milliseconds an iteration is shown
const element = (id) => document.getElementById(id);

/** Draws pixels on a canvas; `color(i)` gives red, green and blue, 0 to 255. */
function paint(canvas, width, height, color) {
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) image.data.set([...color(i), 255], 4 * i);
  context.putImageData(image, 0, 0);
}

export class Grouping {
  constructor() {
    this.cursor = [0, 0];
    this.pending = null; // the newest picture that waits for the model
    element("shuffle").addEventListener("click", () => this.shuffle());
    element("restart").addEventListener("click", () => this.restart());
    element("clear").addEventListener("click", () => this.show(this.pixels.fill(0)));
    element("play").addEventListener("click", () => (this.timer ? this.stop() : this.play()));
    element("back").addEventListener("click", () => this.goTo(this.iteration - 1));
    element("forward").addEventListener("click", () => this.goTo(this.iteration + 1));
    element("iteration").addEventListener("input", (event) => this.goTo(+event.target.value));
    this.listen(element("picture"));
  }

  listen(canvas) {
    const draw = (event) => {
      const box = canvas.getBoundingClientRect();
      const at = (value, low, size, pixels) =>
        Math.min(pixels - 1, Math.max(0, Math.floor(((value - low) / size) * pixels)));
      this.cursor = [at(event.clientY, box.top, box.height, this.model.height),
        at(event.clientX, box.left, box.width, this.model.width)];
      this.useTool();
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      draw(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons && !SHAPES.includes(this.tool())) draw(event);
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.draw());
    canvas.addEventListener("blur", () => this.draw());
  }

  key(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key in moves) {
      const [row, column] = moves[event.key];
      this.cursor = [
        Math.min(this.model.height - 1, Math.max(0, this.cursor[0] + row)),
        Math.min(this.model.width - 1, Math.max(0, this.cursor[1] + column))];
      this.draw();
    } else if (event.key === " ") {
      this.useTool();
    } else {
      return;
    }
    event.preventDefault();
  }

  tool() {
    return document.querySelector("#tools input:checked").value;
  }

  useTool() {
    const [row, column] = this.cursor;
    const tool = this.tool();
    if (SHAPES.includes(tool)) {
      const [rows, columns] = sizeOf(tool);
      stamp(this.pixels, this.model.width, tool, row - (rows >> 1), column - (columns >> 1));
    } else {
      this.pixels[row * this.model.width + column] = tool === "pen" ? 1 : 0;
    }
    this.show(this.pixels);
  }

  /** Takes a model, with shapes of its size. */
  async use(model) {
    this.model = model;
    this.traced = null;
    [, , this.numGroups] = model.card.endpoints.trace.outputs.assignments.shape;
    this.last = model.card.endpoints.trace.outputs.assignments.shape[1] - 1;
    this.cursor = [model.height >> 1, model.width >> 1];
    element("iteration").max = this.last;
    document.querySelectorAll("#grouping .large").forEach((canvas) =>
      canvas.style.setProperty("--shape", `${model.width} / ${model.height}`));
    this.makeParts();
    this.drawStart();
    await this.show(new Float32Array(model.height * model.width)); // the first run prepares
    await this.shuffle();
  }

  makeParts() {
    this.parts = Array.from({ length: this.numGroups }, (_, k) => {
      const part = document.createElement("div");
      part.innerHTML = `<div class="name"><span class="swatch"></span>Group ${k + 1}</div>
        <figure><canvas role="img" aria-label="Pixels of group ${k + 1}"></canvas>
        <figcaption>its pixels</figcaption></figure>
        <figure><canvas role="img" aria-label="What group ${k + 1} sees"></canvas>
        <figcaption>what it sees</figcaption></figure>`;
      part.querySelector(".swatch").style.background = `rgb(${COLORS[k % COLORS.length]})`;
      return part;
    });
    element("parts").replaceChildren(...this.parts);
  }

  drawStart() {
    const spatial = this.model.height * this.model.width;
    const positive = this.model.card.model.class === "Tagger" ? Math.exp : Math.abs;
    this.start = randomStart(this.numGroups, spatial, positive);
  }

  async shuffle() {
    await this.show(shuffled(this.model.height, this.model.width, 3));
    this.play();
  }

  async restart() {
    this.drawStart();
    await this.show(this.pixels);
    this.play();
  }

  /** Groups a picture, and shows where it ends. While the model runs, only the newest one waits. */
  async show(pixels) {
    this.stop();
    this.pixels = pixels;
    this.draw(); // at once, with the groups as they were
    if (this.pending) return this.pending;
    this.pending = Promise.resolve().then(async () => {
      this.pending = null;
      const began = performance.now();
      const inputs = { image: this.pixels, initial_assignments: this.start };
      this.traced = await this.model.run("trace", inputs);
      this.milliseconds = performance.now() - began;
      this.goTo(this.last);
    });
    return this.pending;
  }

  goTo(iteration) {
    this.iteration = Math.min(this.last, Math.max(0, iteration));
    element("iteration").value = this.iteration;
    this.draw();
  }

  play() {
    this.stop();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.goTo(0);
    element("play").textContent = "Stop";
    element("play").setAttribute("aria-pressed", "true");
    this.timer = setInterval(() => {
      if (this.iteration === this.last) this.stop();
      else this.goTo(this.iteration + 1);
    }, FRAME);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    element("play").textContent = "Play";
    element("play").setAttribute("aria-pressed", "false");
  }

  draw() {
    if (!this.traced) return;
    const { height, width } = this.model;
    this.drawPicture(height, width);
    const spatial = height * width;
    const masks = this.at("assignments");
    const seen = this.at("reconstructions");
    const share = (k, i) => masks[k * spatial + i];
    const blended = (i) => [0, 1, 2].map((channel) => {
      let sum = 0;
      for (let k = 0; k < this.numGroups; k++) sum += share(k, i) * COLORS[k % COLORS.length][channel];
      return sum * (0.18 + 0.82 * this.pixels[i]);
    });
    paint(element("groups"), width, height, blended);
    this.parts.forEach((part, k) => {
      const [own, imagined] = part.querySelectorAll("canvas");
      const shade = (x) => COLORS[k % COLORS.length].map((value) => value * Math.min(1, Math.max(0, x)));
      paint(own, width, height, (i) => shade(share(k, i) * (0.18 + 0.82 * this.pixels[i])));
      paint(imagined, width, height, (i) => shade(this.iteration ? seen[k * spatial + i] : 0));
    });
    this.say();
  }

  drawPicture(height, width) {
    const canvas = element("picture");
    const [row, column] = this.cursor;
    const cursor = document.activeElement === canvas ? row * width + column : -1;
    paint(canvas, width, height, (i) => {
      if (i === cursor) return this.pixels[i] ? [255, 160, 60] : [160, 90, 20];
      return Array(3).fill(235 * this.pixels[i]);
    });
  }

  /** What an output was after the iteration that is shown. */
  at(output) {
    const size = this.traced[output].length / (this.last + 1);
    return this.traced[output].subarray(this.iteration * size, (this.iteration + 1) * size);
  }

  say() {
    const sure = Math.round(100 * this.at("confidence")[0]);
    element("iteration-says").textContent =
      `The groups after iteration ${this.iteration} of ${this.last}; ${sure} % sure`;
    element("timing").textContent = `${this.last} iterations took ` +
      `${this.milliseconds.toFixed(1)} ms, ${(this.milliseconds / this.last).toFixed(2)} ms each.`;
  }
}
