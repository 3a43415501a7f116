// Pictures as Float32Arrays of pixels in [0, 1], row by row: shapes to draw, and digits to centre.

const ART = {
  square: ["#######", "#######", "##...##", "##...##", "##...##", "#######", "#######"],
  up: [".....##.....", "....####....", "...######...", "..###..###..", ".###....###.",
    "############", "############"],
};
ART.down = [...ART.up].reverse();

/** The shapes of the data sets `shapes` and `shapes20`. */
export const SHAPES = Object.keys(ART);

/** Draws a shape into `pixels` with its top left corner at `top`, `left`; parts outside are cut. */
export function stamp(pixels, width, shape, top, left) {
  const height = pixels.length / width;
  ART[shape].forEach((line, y) => [...line].forEach((mark, x) => {
    const [row, column] = [top + y, left + x];
    if (mark === "#" && row >= 0 && row < height && column >= 0 && column < width) {
      pixels[row * width + column] = 1;
    }
  }));
}

/** Rows and columns of a shape. */
export const sizeOf = (shape) => [ART[shape].length, ART[shape][0].length];

/** Draws `count` shapes, each anywhere inside, as in the data sets. */
export function shuffled(height, width, count, random = Math.random) {
  const pixels = new Float32Array(height * width);
  for (let n = 0; n < count; n++) {
    const shape = SHAPES[Math.floor(random() * SHAPES.length)];
    const [rows, columns] = sizeOf(shape);
    const top = Math.floor(random() * (height - rows + 1));
    const left = Math.floor(random() * (width - columns + 1));
    stamp(pixels, width, shape, top, left);
  }
  return pixels;
}

/** Draws where the groups start, as the model's class does: K shares a pixel, which sum to 1. */
export function randomStart(numGroups, numPixels, positive, random = Math.random) {
  const start = new Float32Array(numGroups * numPixels);
  for (let i = 0; i < start.length; i++) {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    start[i] = positive(normal);
  }
  for (let p = 0; p < numPixels; p++) {
    let sum = 0;
    for (let k = 0; k < numGroups; k++) sum += start[k * numPixels + p];
    for (let k = 0; k < numGroups; k++) start[k * numPixels + p] /= sum;
  }
  return start;
}

// Of MNIST: digits fill 20 of 28 pixels, with their centre of mass in the middle.
const FILLED = 20 / 28;

/** Shrinks what is drawn on a canvas to `height` x `width` pixels, centred as in MNIST. */
export function centred(canvas, height, width) {
  const size = canvas.width;
  const inks = inkOf(canvas.getContext("2d").getImageData(0, 0, size, canvas.height).data);
  const box = boxOf(inks, size);
  if (box === null) return new Float32Array(height * width);
  const scale = (FILLED * Math.min(height, width)) / Math.max(box.width, box.height);
  const small = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  small.imageSmoothingQuality = "high";
  small.drawImage(canvas, box.left, box.top, box.width, box.height,
    width / 2 - (box.x - box.left) * scale, height / 2 - (box.y - box.top) * scale,
    box.width * scale, box.height * scale);
  return inkOf(small.getImageData(0, 0, width, height).data);
}

/** Opacity, which is ink, of every pixel of RGBA data. */
function inkOf(data) {
  return Float32Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + 3] / 255);
}

/** The box around the ink, and its centre of mass `x`, `y`; null where there is none. */
function boxOf(inks, width) {
  let [left, right, top, bottom, mass, x, y] = [Infinity, -1, Infinity, -1, 0, 0, 0];
  inks.forEach((ink, i) => {
    if (ink === 0) return;
    const [row, column] = [Math.floor(i / width), i % width];
    [left, right] = [Math.min(left, column), Math.max(right, column)];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row)];
    mass += ink;
    x += ink * (column + 0.5);
    y += ink * (row + 0.5);
  });
  if (mass === 0) return null;
  return { left, top, width: right - left + 1, height: bottom - top + 1, x: x / mass, y: y / mass };
}
