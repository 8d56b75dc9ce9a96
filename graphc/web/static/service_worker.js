// Gives the page its files with the two headers without which a browser lets no page compute in threads, and without a
// network those that it has kept. It asks no other server.
"use strict";
const STORE = "graphc-page";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));

async function answer(request) {
  const store = await caches.open(STORE);
  let found;
  try {
    found = await fetch(request);
    if (found.ok) await store.put(request, found.clone());
  } catch (error) {
    found = await store.match(request);
    if (!found) throw error;
  }
  const headers = new Headers(found.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(found.body, {status: found.status, statusText: found.statusText, headers});
}

self.addEventListener("fetch", event => {
  const {method, url} = event.request;
  if (method === "GET" && new URL(url).origin === self.location.origin) event.respondWith(answer(event.request));
});
