/** Keeps the ID of the open conversation in the URL's hash, so that a reload or a link opens it again. */

const THREAD_ID = /^[A-Za-z0-9-]{8,64}$/;

/** Returns the conversation ID in the URL, or null. */
export function threadInUrl() {
  const id = location.hash.slice(1);
  return THREAD_ID.test(id) ? id : null;
}

/** Puts a conversation into the URL without a new entry in the browser's history. */
export function putThreadInUrl(id) {
  if (location.hash !== `#${id}`) history.replaceState(null, "", `#${id}`);
}

/** Removes the conversation from the URL, with a new entry in the browser's history. */
export function clearThreadInUrl() {
  history.pushState(null, "", location.pathname);
}
