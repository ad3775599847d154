// Pictures from files and from the samples, as ImageData.

const LONGEST = 1280; // pixels; a phone's photo of 4,000 would only make everything slow

/** Draws `source` (a decoded picture or a playing video) → ImageData. */
function readPixels(source, width, height) {
  const canvas = readPixels.canvas ??= document.createElement("canvas");
  if (canvas.width !== width || canvas.height !== height) {
    [canvas.width, canvas.height] = [width, height];
  }
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#ffffff"; // what is see-through lies on white, as in segcore.data.images
  context.fillRect(0, 0, width, height);
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** What the camera shows now. */
export function frame(video) {
  return readPixels(video, video.videoWidth, video.videoHeight);
}

/** A file of the user's, upright. Throws an Error with a sentence that helps. */
export async function fromFile(file) {
  let picture;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error(`${file.name} is no picture that this browser can open. JPEG, PNG and WebP work; set a phone's camera to “most compatible” if it writes HEIC.`);
  }
  const scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  const size = [picture.width, picture.height].map((side) => Math.max(Math.round(side * scale), 1));
  return readPixels(picture, ...size);
}

/** The sample in `image`, an <img> of this page. */
export async function fromImage(image) {
  await image.decode();
  return readPixels(image, image.naturalWidth, image.naturalHeight);
}
