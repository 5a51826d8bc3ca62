/** Sends requests to the server, and turns failed requests into errors with a message for the user. */

import { state } from "./state.js";
import { DEFAULT_NAME, NOT_REACHABLE, httpStatus } from "./user-messages.js";

/** HTTP status of a request without a valid session. */
export const SIGNED_OUT_STATUS = 401;

/** Milliseconds until a failed request that the page needs is sent again. */
export const RETRY_MS = 2_000;

/** Returns whether a failed request may succeed later: the server was not reached, or it has a fault. */
export const mayWorkLater = ({ status }) => status === undefined || status >= 500;

/** Returns the name of the sign-in, or the one that the user has chosen on this page. */
export const userName = () => state.config.user.name || localStorage.getItem("name") || DEFAULT_NAME;

export const saveUserName = (name) => localStorage.setItem("name", name);

/**
 * Sends a request and returns the JSON of the response.
 * The path is relative to the page, which may be served under a path prefix. Without a body it is a GET; a body is posted as JSON with the user's name.
 */
export async function request(path, body) {
  let response;
  try {
    response = await fetch(path, options(body));
  } catch {
    throw Object.assign(new Error(NOT_REACHABLE), { isUnreachable: true });
  }
  const value = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw Object.assign(new Error(value.error || httpStatus(response.status)), { status: response.status });
  }
  return value;
}

/** Posts a file and returns the JSON of the response. `onProgress` receives the share that is sent, 0 to 1. */
export function upload(path, file, onProgress) {
  return new Promise((resolve, reject) => {
    // Unlike fetch, this tells how much is sent.
    const sending = new XMLHttpRequest();
    sending.open("POST", path);
    sending.responseType = "json";
    sending.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    sending.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 1);
    sending.onerror = () => reject(Object.assign(new Error(NOT_REACHABLE), { isUnreachable: true }));
    sending.onload = () => {
      if (sending.status < 300) resolve(sending.response);
      else reject(new Error(sending.response?.error || httpStatus(sending.status)));
    };
    sending.send(file);
  });
}

function options(body) {
  if (body === undefined) return {};
  return {
    method: "POST",
    body: JSON.stringify({ name: userName(), ...body }),
    headers: { "Content-Type": "application/json" },
  };
}
