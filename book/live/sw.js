// The service worker. Its two jobs: every file of this folder is kept at the first visit and taken
// from there afterwards; and each answer gets the headers that static hosting does not send. The
// build fills in what stands in double braces; another version is another cache.

const CACHE = "live {{version}}";
const FILES = {{files}};
const HEADERS = {
  "Content-Security-Policy": "{{policy}}",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
};

async function keepSmallFiles() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
}

async function dropOldVersions() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith("live ") && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

/** The same answer with our headers. */
function dressed(answer) {
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: request.mode === "navigate" });
  if (kept) return request.url.startsWith(self.registration.scope) ? dressed(kept) : kept;
  const fresh = await fetch(request);
  if (fresh.status === 200) await cache.put(request, fresh.clone());
  return request.url.startsWith(self.registration.scope) ? dressed(fresh) : fresh;
}

/** The start page has two addresses, with and without index.html. */
function canonical(request) {
  const { pathname } = new URL(request.url);
  const isStart = request.mode === "navigate" && /\/(index\.html)?$/.test(pathname);
  return isStart ? new Request(self.registration.scope) : request;
}

self.addEventListener("install", (event) => event.waitUntil(keepSmallFiles()));
self.addEventListener("activate", (event) => event.waitUntil(dropOldVersions()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const ours = url.startsWith(self.registration.scope) || url.startsWith("{{cdn}}");
  if (method === "GET" && ours) event.respondWith(answer(canonical(event.request)));
});
