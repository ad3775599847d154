// The camera: opened, switched, closed, and a sentence that helps for each way it can fail.

const WORDS = {
  NotAllowedError: "This page may not use the camera. Allow it in the browser's settings for this site (the sign beside the address), then press Camera again. A photo or a sample works without.",
  NotFoundError: "No camera was found. Plug one in, or choose a photo or a sample.",
  NotReadableError: "The camera is taken by another program. Close it, then press Camera again.",
  insecure: "Browsers give the camera only to secure pages: open this one with https:// or on 127.0.0.1. A photo or a sample works here.",
  ended: "The camera was switched off or unplugged. Press Camera to start it again.",
};
WORDS.SecurityError = WORDS.NotAllowedError;
WORDS.OverconstrainedError = WORDS.NotFoundError;
WORDS.AbortError = WORDS.NotReadableError;

/** What to tell the user about `error`. */
export function explain(error) {
  return WORDS[error.name] ?? WORDS[error.message] ?? `The camera did not start: ${error.message}`;
}

export class Camera {
  #stream = null;
  #facing = "user";

  /** `onended` is called when the camera goes away by itself. */
  constructor(video, onended) {
    this.video = video;
    this.onended = onended;
  }

  get running() {
    return this.#stream !== null;
  }

  /** A front camera is a mirror; so is a webcam, which does not say where it looks. */
  get mirrored() {
    return this.#track()?.getSettings().facingMode !== "environment";
  }

  /** "front camera", "back camera", or just "camera". */
  get name() {
    const sides = { user: "front camera", environment: "back camera" };
    return sides[this.#track()?.getSettings().facingMode] ?? "camera";
  }

  /** Opens the front camera, or the one with `deviceId`. Throws what getUserMedia throws. */
  async open(deviceId = null) {
    if (!navigator.mediaDevices) throw new Error("insecure");
    this.close(); // a phone opens one camera at a time
    const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: this.#facing };
    const size = { width: { ideal: 640 }, height: { ideal: 480 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video: { ...which, ...size } });
    this.#stream = stream;
    this.#track().addEventListener("ended", () => {
      this.close();
      this.onended(new Error("ended"));
    });
    this.video.srcObject = stream;
    await this.video.play();
  }

  /** Front to back and back again; where cameras do not say which they are, the next one. */
  async next() {
    const { deviceId, facingMode } = this.#track().getSettings();
    const all = await navigator.mediaDevices.enumerateDevices();
    const ids = all.filter((one) => one.kind === "videoinput").map((one) => one.deviceId);
    this.#facing = this.#facing === "user" ? "environment" : "user";
    if (facingMode) await this.open();
    if (this.#track().getSettings().deviceId !== deviceId || ids.length < 2) return;
    await this.open(ids[(ids.indexOf(deviceId) + 1) % ids.length]);
  }

  /** How many cameras there are, as far as the browser tells. */
  async count() {
    const all = await navigator.mediaDevices.enumerateDevices();
    return all.filter((one) => one.kind === "videoinput").length;
  }

  close() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.video.srcObject = null;
  }

  #track() {
    return this.#stream?.getVideoTracks()[0];
  }
}
