"use strict";
// A box with the text of `data-tip` beside the pointer, or beside a finger that taps.
const tip = document.getElementById("tip");

function showTip(text, x, y) {
  tip.textContent = text;
  tip.style.display = "block";
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(x + 14, innerWidth - width - 8);
  const below = y + 18 + height < innerHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${below ? y + 18 : Math.max(8, y - height - 12)}px`;
}

function hideTip() {
  tip.style.display = "none";
}

for (const kind of ["pointermove", "pointerdown"]) {
  document.addEventListener(kind, (event) => {
    if (event.target.id === "timeline") return; // has its own
    const found = event.target.closest("[data-tip]");
    if (found) showTip(found.dataset.tip, event.clientX, event.clientY);
    else hideTip();
  });
}
document.addEventListener("scroll", hideTip, { passive: true });
