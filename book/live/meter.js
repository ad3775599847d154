// How long things took: the last 60 frames, their middle and their slow end. No mean: one hiccup of
// a second would drag it far from anything that ever happened.

const KEEP = 60;

/** The value below which a share `p` of `values` lies (nearest rank); NaN for none. */
export function quantile(values, p) {
  const sorted = Float64Array.from(values).sort();
  return sorted.length ? sorted[Math.max(Math.ceil(p * sorted.length) - 1, 0)] : NaN;
}

export class Meter {
  #frames = [];

  /** `times`: milliseconds by the name of the step; `at`: when the frame was done. */
  add(times, at = performance.now()) {
    this.#frames.push({ ...times, total: Object.values(times).reduce((a, b) => a + b, 0), at });
    if (this.#frames.length > KEEP) this.#frames.shift();
  }

  clear() {
    this.#frames = [];
  }

  get count() {
    return this.#frames.length;
  }

  /** { step: { p50, p90 } } in milliseconds. */
  summary() {
    const steps = ["preprocess", "network", "mask", "total"];
    return Object.fromEntries(steps.map((step) => {
      const values = this.#frames.map((frame) => frame[step]);
      return [step, { p50: quantile(values, 0.5), p90: quantile(values, 0.9) }];
    }));
  }

  /** Frames a second over the frames kept; NaN before the second. */
  rate() {
    const span = (this.#frames.at(-1)?.at ?? 0) - (this.#frames[0]?.at ?? 0);
    return this.count > 1 ? (1000 * (this.count - 1)) / span : NaN;
  }
}
