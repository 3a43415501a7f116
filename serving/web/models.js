// Runs the .tflite files of this folder with LiteRT.js.

import { Tensor, loadAndCompile, loadLiteRt } from "@litertjs/core";

// One thread: several need headers that a plain server of files does not send. "compat" runs in
// browsers without relaxed SIMD too, and gives the same numbers in all of them.
const RUNTIME = new URL("vendor/litert_wasm_compat_internal.js", import.meta.url).href;

/** Loads the runtime once, before any model. */
export const startRuntime = () => loadLiteRt(RUNTIME);

async function fetched(file) {
  const answer = await fetch(file);
  if (!answer.ok) throw new Error(`${file} cannot be read (${answer.status}).`);
  return answer;
}

/** A .tflite file with its card: `run(signature, inputs)` on named Float32Arrays. */
export class Model {
  constructor(name, card, compiled) {
    Object.assign(this, { name, card, compiled });
    this.grouping = "trace" in card.endpoints;
    [, this.height, this.width] = card.endpoints.serving_default.inputs.image.shape;
  }

  /** Loads `NAME.tflite` and `NAME.tflite.json`. */
  static async load(name) {
    const file = `${encodeURIComponent(name)}.tflite`;
    const card = await (await fetched(`${file}.json`)).json();
    const bytes = new Uint8Array(await (await fetched(file)).arrayBuffer());
    return new Model(name, card, await loadAndCompile(bytes, { accelerator: "wasm" }));
  }

  async run(signature, inputs) {
    const described = this.card.endpoints[signature].inputs;
    const tensors = {};
    for (const [name, array] of Object.entries(inputs)) {
      tensors[name] = new Tensor(array, [1, ...described[name].shape.slice(1)]);
    }
    const outputs = await this.compiled.run(signature, tensors);
    const arrays = {};
    for (const [name, tensor] of Object.entries(outputs)) {
      arrays[name] = Float32Array.from(tensor.toTypedArray());
      tensor.delete();
    }
    Object.values(tensors).forEach((tensor) => tensor.delete());
    return arrays;
  }
}
