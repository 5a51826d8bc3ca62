/** Sends requests to the server, and turns failed requests into errors with a message for the user. */

import { DEFAULT_NAME, NOT_REACHABLE, httpStatus } from "./user-messages.js";

export const userName = () => localStorage.getItem("name") || DEFAULT_NAME;

export const saveUserName = (name) => localStorage.setItem("name", name);

/**
 * Sends a request and returns the JSON of the response.
 * Without a body it is a GET. A Blob is posted as it is; any other body is posted as JSON with the user's name.
 */
export async function request(path, body) {
  let response;
  try {
    response = await fetch(path, options(body));
  } catch {
    throw new Error(NOT_REACHABLE);
  }
  const value = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(value.error || httpStatus(response.status));
  return value;
}

function options(body) {
  if (body === undefined) return {};
  if (body instanceof Blob) {
    return { method: "POST", body, headers: { "Content-Type": body.type || "application/octet-stream" } };
  }
  return {
    method: "POST",
    body: JSON.stringify({ name: userName(), ...body }),
    headers: { "Content-Type": "application/json" },
  };
}
