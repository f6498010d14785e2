"use strict";
// Dragging along an axis of parallel coordinates keeps a range of it, a click takes all again.
for (const picture of document.querySelectorAll("svg.parallel")) {
  const lines = [...picture.querySelectorAll("polyline")];
  const places = lines.map((line) => line.dataset.places.split(" ").map(Number));
  const ranges = new Map(); // axis -> [low, high], 0 at the bottom

  function show() {
    lines.forEach((line, number) => {
      const within = [...ranges].every(
        ([axis, [low, high]]) => places[number][axis] >= low && places[number][axis] <= high,
      );
      line.classList.toggle("off", !within);
    });
  }

  for (const handle of picture.querySelectorAll(".handle")) {
    const axis = Number(handle.dataset.axis);
    const top = Number(handle.dataset.top);
    const bottom = Number(handle.dataset.bottom);
    const mark = picture.querySelector(`.range[data-axis="${axis}"]`);
    let begun = null;

    function placeOf(event) {
      const box = picture.getBoundingClientRect();
      const y = ((event.clientY - box.top) / box.height) * picture.viewBox.baseVal.height;
      return Math.min(1, Math.max(0, (bottom - y) / (bottom - top)));
    }

    function keep(one, other) {
      const [low, high] = [Math.min(one, other), Math.max(one, other)];
      if (high - low < 0.01) ranges.delete(axis);
      else ranges.set(axis, [low, high]);
      const some = ranges.has(axis);
      mark.setAttribute("y", some ? bottom - high * (bottom - top) : top);
      mark.setAttribute("height", some ? (high - low) * (bottom - top) : 0);
      show();
    }

    handle.addEventListener("pointerdown", (event) => {
      begun = placeOf(event);
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (begun !== null) keep(begun, placeOf(event));
    });
    handle.addEventListener("pointerup", (event) => {
      if (begun !== null) keep(begun, placeOf(event));
      begun = null;
    });
  }
}
