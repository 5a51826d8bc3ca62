/** Provides small functions to find and create elements, show notices, and announce text to screen readers. */

export const byId = (id) => document.getElementById(id);

export const icon = (name) => `<svg aria-hidden="true"><use href="#i-${name}"/></svg>`;

/** Creates an element with the given properties and children. */
export function element(tag, props = {}, ...children) {
  const created = Object.assign(document.createElement(tag), props);
  created.append(...children);
  return created;
}

/** Creates a <button type="button">. */
export const button = (props, ...children) => element("button", { type: "button", ...props }, ...children);

export const isPhone = () => matchMedia("(max-width: 48rem)").matches;

/** Returns 24 random hexadecimal digits, for the ID of a conversation or a message. */
export const randomId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Lets a screen reader announce a text. */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** Shows a message above the question box; an empty text hides it. */
export function showNotice(text, { untilConnected = false } = {}) {
  const notice = byId("notice");
  notice.hidden = !text;
  notice.firstElementChild.textContent = text || "";
  notice.dataset.until = untilConnected ? "connected" : "";
}

/** Hides a notice that is about the lost connection. */
export function hideConnectionNotice() {
  if (byId("notice").dataset.until === "connected") showNotice("");
}

/** Runs an async function and shows the message of its error as a notice. */
export const orNotice = (work) =>
  work().catch((error) => showNotice(error.message, { untilConnected: error.isUnreachable }));

export const isNoticeShown = () => Boolean(byId("notice").textContent);
