// Places a digit: a canvas to draw on, and a box for each cluster with what landed there.

import { centred } from "./pictures.js";

const PEN = 22; // of the canvas' 280 pixels
const STEP = 14; // pixels that an arrow key moves the pen
const element = (id) => document.getElementById(id);

/** Returns a canvas of `width` x `height` with pixels in [0, 1] in grey. */
function grey(canvas, pixels, width, height) {
  [canvas.width, canvas.height] = [width, height];
  const image = new ImageData(width, height);
  pixels.forEach((ink, i) => image.data.set([255, 255, 255, 255 * ink], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

export class Clustering {
  constructor() {
    this.canvas = element("digit");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    Object.assign(this.context, { lineWidth: PEN, lineCap: "round", lineJoin: "round" });
    this.context.strokeStyle = "#fff";
    this.pen = { x: this.canvas.width / 2, y: this.canvas.height / 4, down: false };
    element("keep").addEventListener("click", () => this.keep());
    element("wipe").addEventListener("click", () => this.wipe());
    this.listen();
  }

  listen() {
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [(event.clientX - box.left) * (this.canvas.width / box.width),
        (event.clientY - box.top) * (this.canvas.height / box.height)];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      [this.pen.x, this.pen.y] = at(event);
      this.lineTo(this.pen.x, this.pen.y);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.lineTo(...at(event));
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const moves = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
    if (event.key in moves) {
      const [x, y] = moves[event.key];
      this.move(this.pen.x + STEP * x, this.pen.y + STEP * y);
    } else if (event.key === " ") {
      this.pen.down = !this.pen.down;
      this.move(this.pen.x, this.pen.y);
    } else if (event.key === "Enter") {
      this.keep();
    } else {
      return;
    }
    event.preventDefault();
  }

  /** Moves the pen of the keyboard, and says where it is. */
  move(x, y) {
    [x, y] = [x, y].map((value) => Math.min(this.canvas.width - PEN, Math.max(PEN, value)));
    if (this.pen.down) this.lineTo(x, y);
    [this.pen.x, this.pen.y] = [x, y];
    const percent = (value) => Math.round((100 * value) / this.canvas.width);
    element("placed").textContent = `The pen is ${this.pen.down ? "down" : "up"}, ` +
      `${percent(x)} % from the left and ${percent(y)} % from the top.`;
  }

  lineTo(x, y) {
    this.context.beginPath();
    this.context.moveTo(this.pen.x, this.pen.y);
    this.context.lineTo(x, y);
    this.context.stroke();
    [this.pen.x, this.pen.y] = [x, y];
    this.place();
  }

  /** Takes a model, and makes a box for each of its clusters. */
  use(model) {
    this.model = model;
    const [, count] = model.card.endpoints.serving_default.outputs.probabilities.shape;
    this.boxes = Array.from({ length: count }, (_, k) => {
      const box = document.createElement("li");
      box.innerHTML = `<span>Cluster ${k}</span>
        <meter min="0" max="1" value="0" aria-label="Probability of cluster ${k}"></meter>
        <div class="kept"></div>`;
      return box;
    });
    element("clusters").replaceChildren(...this.boxes);
    this.wipe();
  }

  /** Asks the model where the digit belongs. */
  async place() {
    const { height, width } = this.model;
    const pixels = centred(this.canvas, height, width);
    this.pixels = pixels;
    grey(element("seen"), pixels, width, height);
    const began = performance.now();
    const { probabilities } = await this.model.run("serving_default", { image: pixels });
    const milliseconds = performance.now() - began;
    if (this.pixels !== pixels) return; // drawn on meanwhile
    this.cluster = probabilities.indexOf(Math.max(...probabilities));
    this.boxes.forEach((box, k) => {
      box.querySelector("meter").value = probabilities[k];
      box.classList.toggle("first", k === this.cluster);
    });
    const percent = Math.round(100 * probabilities[this.cluster]);
    element("placed").textContent =
      `Cluster ${this.cluster}, ${percent} % sure, in ${milliseconds.toFixed(1)} ms.`;
  }

  keep() {
    if (this.cluster === null) return;
    const { height, width } = this.model;
    const kept = grey(document.createElement("canvas"), this.pixels, width, height);
    kept.setAttribute("role", "img");
    kept.setAttribute("aria-label", "A digit of yours");
    this.boxes[this.cluster].querySelector(".kept").append(kept);
    this.wipe();
  }

  wipe() {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.pixels = null;
    this.cluster = null;
    this.pen = { x: this.canvas.width / 2, y: this.canvas.height / 4, down: false };
    grey(element("seen"), new Float32Array(this.model.height * this.model.width),
      this.model.width, this.model.height);
    element("placed").textContent = "";
    this.boxes.forEach((box) => {
      box.querySelector("meter").value = 0;
      box.classList.remove("first");
    });
  }
}
