// The network's own thread, so that the page never freezes. A classic worker, not a module: LiteRT.js
// loads its WebAssembly with importScripts. One task at a time; { task, number, ... } comes in,
// { number, ... } or { number, error } goes out.

const tools = Promise.all([import("./preprocess.js"), import("./mask.js")]);
const models = new Map();
let litert = null;

/** Loads the runtime with `threads` threads. `runtime` is that of live.json. */
async function start({ runtime, threads }) {
  const folder = new URL(runtime.wasm, self.location.href).href;
  const script = `${folder}litert_wasm_threaded_internal.js`;
  // The runtime asks for a GPU even when it will not use one: it gets none. And it keeps as many
  // threads ready as there are cores; if a network wants more, all wait for one another for ever.
  // All three networks may be loaded at a time.
  const noDevice = { limits: {}, features: new Set(), requestDevice: async () => null };
  Object.defineProperty(navigator, "gpu", { value: { requestAdapter: async () => noDevice } });
  Object.defineProperty(navigator, "hardwareConcurrency", { value: 3 * threads + 1 });
  self.Module = {
    locateFile: (name) => folder + name,
    mainScriptUrlOrBlob: script,
    printErr: (line) => { if (!/^(INFO|WARNING|VERBOSE)/.test(line)) console.error(line); },
  };
  litert = await import(new URL(runtime.module, self.location.href).href);
  await litert.loadLiteRt(folder, { threads: threads > 1 });
  return {};
}

/** Fetches and compiles the network in `file`, to be called `name`. */
async function load({ name, file, threads }) {
  if (models.has(name)) return {};
  const answer = await fetch(new URL(file, self.location.href));
  if (!answer.ok) throw new Error(`${file}: the server answered ${answer.status}`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const options = { accelerator: "wasm", cpuOptions: { numThreads: threads } };
  models.set(name, await litert.loadAndCompile(bytes, options));
  return {};
}

/** A photo's RGBA `pixels` (height, width) → ids and what it took. `exact`: as large as the photo,
 *  from enlarged scores; else in the network's own grid. */
async function run({ name, pixels, width, height, exact }) {
  const [{ letterbox, signed }, mask] = await tools;
  const network = models.get(name);
  const [input] = network.getInputDetails();
  const size = input.shape[1];
  const begun = performance.now();
  const { box, content } = letterbox(new Uint8ClampedArray(pixels), width, height, size);
  const values = input.dtype === "uint8" ? box : signed(box);
  const prepared = performance.now();
  const scores = await infer(network, values, input.shape);
  const inferred = performance.now();
  const [h, w] = exact ? [height, width] : content;
  const classes = scores.length / size ** 2;
  let ids;
  if (classes === 1) ids = mask.repeated(scores, size, content, w, h);
  else if (exact) ids = mask.enlargedWinners(scores, size, classes, content, w, h);
  else ids = mask.winners(scores, size, classes, content);
  const times = { preprocess: prepared - begun, network: inferred - prepared,
    mask: performance.now() - inferred };
  return { ids, width: w, height: h, times };
}

/** One forward pass. Tensors live in WebAssembly's memory: nobody else frees them. */
async function infer(network, values, shape) {
  const tensor = new litert.Tensor(values, [...shape]);
  const [answer] = await network.run(tensor);
  const scores = await answer.data();
  tensor.delete();
  answer.delete();
  return scores;
}

const tasks = { start, load, run };

self.onmessage = async ({ data }) => {
  try {
    const answer = await tasks[data.task](data);
    self.postMessage({ number: data.number, ...answer }, answer.ids ? [answer.ids.buffer] : []);
  } catch (error) {
    self.postMessage({ number: data.number, error: error.message });
  }
};
