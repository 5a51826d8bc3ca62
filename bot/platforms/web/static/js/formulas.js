/** Draws formulas as MathML. The library is loaded with the first formula; until then, and after an error, TeX is shown. */

import { element } from "./dom.js";

/** Most expansions of macros in a formula, and the largest size in em, so that no formula blocks or covers the page. */
const LIMITS = { maxExpand: 500, maxSize: [10, 50] };

let loading = null;

const library = () => loading ??= new Promise((resolve, reject) => {
  document.head.append(element("script", {
    src: "static/temml/temml.min.js", onload: () => resolve(window.temml), onerror: reject,
  }));
});

/** Draws the formulas in an element that was just created. */
export async function drawFormulas(container) {
  const formulas = [...container.querySelectorAll("code.formula")];
  if (!formulas.length) return;
  try {
    const temml = await library();
    formulas.forEach((formula) => drawFormula(temml, formula));
  } catch {
    loading = null;
  }
}

function drawFormula(temml, formula) {
  const displayMode = formula.classList.contains("display");
  const drawn = element("span", { className: displayMode ? "formula display" : "formula" });
  try {
    temml.render(formula.textContent, drawn, { displayMode, trust: false, throwOnError: true, annotate: true, ...LIMITS });
  } catch {
    return;
  }
  if (displayMode) {
    // A wide formula scrolls, also with the keyboard.
    drawn.tabIndex = 0;
    drawn.setAttribute("role", "group");
    drawn.setAttribute("aria-label", formula.textContent);
  }
  formula.replaceWith(drawn);
}
