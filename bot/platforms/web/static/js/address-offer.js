/** Offers to add a web page to the documents when its address is all that is in the question box. */

import { send } from "./composer.js";
import { byId, orNotice } from "./dom.js";
import { questionText, setQuestionText } from "./question-box.js";

const ADDRESS = /^https?:\/\/\S+$/;

function drawOffer() {
  byId("offer").hidden = !ADDRESS.test(questionText().trim());
}

export function setUpAddressOffer() {
  byId("question").addEventListener("input", drawOffer);
  byId("form").addEventListener("submit", () => { byId("offer").hidden = true; });
  byId("offer").firstElementChild.onclick = () => {
    const address = questionText().trim();
    setQuestionText("");
    drawOffer();
    orNotice(() => send(`/ingest ${address}`));
  };
}
