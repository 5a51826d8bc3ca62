/** Retries a request with the ID of its first attempt, so that the server acts once. */

import { mayWorkLater } from "./api.js";
import { randomId } from "./dom.js";

export class RetryableRequest {
  /** The last request whose response was lost. The server may have accepted it. */
  #unanswered = null;

  /** Calls `send` with an ID: that of the last call if it had the same content and its response was lost. */
  async send(content, send) {
    const id = this.#unanswered?.content === content ? this.#unanswered.id : randomId();
    this.#unanswered = null;
    try {
      return await send(id);
    } catch (error) {
      if (mayWorkLater(error)) this.#unanswered = { content, id };
      throw error;
    }
  }
}
