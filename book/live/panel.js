// What the page says beside the picture: classes, times, status.

const find = (selector) => document.querySelector(selector);
const SPEAK_EVERY = 4000; // milliseconds; a screen reader that never falls silent helps nobody

/** "3.1 %"; what is there but rounds to nothing is "<0.1 %". */
export function percent(share) {
  return share > 0 && share < 0.0005 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`;
}

/** "14" or "3.2": milliseconds with two digits that mean something. */
function milliseconds(value) {
  return Number.isNaN(value) ? "–" : value.toFixed(value < 10 ? 1 : 0);
}

/** What is going on, for eyes and ears. `bad`: something went wrong. */
export function say(text, bad = false) {
  const line = find("#status");
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle("bad", bad);
}

/** The list of classes seen, with their inks and shares. */
export function listClasses(found, classes) {
  find("#classes").replaceChildren(...found.map(({ id, share }) => {
    const row = document.createElement("li");
    const ink = document.createElement("span");
    ink.className = id === 0 ? "ink none" : `ink pattern${classes[id].pattern}`; // see-through
    ink.style.setProperty("--ink-color", classes[id].color);
    const bar = document.createElement("span");
    bar.className = "bar";
    bar.style.setProperty("--share", share);
    const [name, value] = [document.createElement("span"), document.createElement("span")];
    name.textContent = classes[id].name;
    value.textContent = percent(share);
    value.className = "value";
    row.append(ink, name, value, bar);
    return row;
  }));
}

let spoken = { at: -Infinity, names: "" };

/** Tells a screen reader which classes are there, when they changed, and not too often. */
export function speakClasses(found, classes, view, now = performance.now()) {
  const seen = found.filter(({ id, share }) => id > 0 && share >= 0.01);
  const names = seen.map(({ id }) => classes[id].name).sort().join(", ");
  if (names === spoken.names || now - spoken.at < SPEAK_EVERY) return;
  spoken = { at: now, names };
  const text = seen.map(({ id, share }) => `${classes[id].name} ${percent(share)}`).join(", ");
  find("#spoken").textContent = text ? `Seen: ${text}.` : "Only background is seen.";
  view.describe(text ? `Picture with mask: ${text}` : "Picture: only background found");
}

/** Fills the table of times from a Meter. A single frame has no rate, and needs no p50 explained. */
export function showTimes(meter, moving) {
  const summary = meter.summary();
  for (const [step, { p50, p90 }] of Object.entries(summary)) {
    find(`#${step}-p50`).textContent = milliseconds(p50);
    find(`#${step}-p90`).textContent = milliseconds(p90);
  }
  const rate = moving ? meter.rate() : NaN;
  find("#rate").textContent = Number.isNaN(rate) ? "" : `${rate.toFixed(1)} frames a second.`;
  find("#frames").textContent = meter.count;
  find("#explain").hidden = meter.count < 2;
}

/** The share of pixels that differ between the two networks, or nothing. */
export function showDifference(share) {
  find("#difference").hidden = share === null;
  if (share !== null) find("#difference output").textContent = percent(share);
}
