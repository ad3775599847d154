// The page's side of the worker: a promise for each task.

/** WebAssembly with 128-bit SIMD? The bytes are the smallest module that uses it. */
export function hasSimd() {
  return typeof WebAssembly === "object" && WebAssembly.validate(Uint8Array.of(0, 97, 115, 109, 1,
    0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11));
}

/** Relaxed SIMD, without which LiteRT.js has no build with threads? (i8x16.relaxed_swizzle) */
export function hasRelaxedSimd() {
  return WebAssembly.validate(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123,
    3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11));
}

/** How many threads may be asked for, and if only one, why. */
export function threadLimit(runtime) {
  if (!runtime.vendored) return [1, "The runtime comes from a CDN here, and threads must come from this site."];
  if (!self.crossOriginIsolated) {
    return [1, "This page is not cross-origin isolated (its service worker did not start), and browsers share memory between threads only where it is."];
  }
  if (!hasRelaxedSimd()) {
    return [1, "This browser has no relaxed SIMD, and the runtime's build with threads needs it."];
  }
  return [4, ""];
}

/** A worker with the runtime in it. Another number of threads means another Segmenter. */
export class Segmenter {
  #worker = new Worker("worker.js");
  #waiting = new Map();
  #count = 0;

  constructor(config, threads) {
    this.config = config;
    this.threads = threads;
    this.#worker.onmessage = ({ data }) => {
      const { resolve, reject } = this.#waiting.get(data.number);
      this.#waiting.delete(data.number);
      if (data.error === undefined) resolve(data);
      else reject(new Error(data.error));
    };
    this.#worker.onerror = (event) => {
      const error = new Error(event.message || "the worker could not be started");
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    };
    this.ready = this.#ask({ task: "start", runtime: config.runtime, threads });
  }

  #ask(message, moved = []) {
    return new Promise((resolve, reject) => {
      this.#waiting.set(++this.#count, { resolve, reject });
      this.#worker.postMessage({ ...message, number: this.#count }, moved);
    });
  }

  /** Makes the networks called `names` ready. */
  async load(names) {
    await this.ready;
    for (const name of names) {
      const { file } = this.config.models[name];
      await this.#ask({ task: "load", name, file, threads: this.threads });
    }
  }

  /** ImageData → { ids, width, height, times }. `exact`: at the photo's own size. */
  run(name, photo, exact) {
    const pixels = photo.data.slice().buffer;
    const { width, height } = photo;
    return this.#ask({ task: "run", name, pixels, width, height, exact }, [pixels]);
  }

  close() {
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(new Error("closed"));
    this.#waiting.clear();
  }
}
