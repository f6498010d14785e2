"use strict";
// Says so where a box has columns that do not fit: a shadow while there is more on the right.
for (const scroller of document.querySelectorAll(".scroller")) {
  const box = scroller.querySelector(".scroll");
  const look = () => {
    scroller.classList.toggle("wider", box.scrollWidth > box.clientWidth + 1);
    scroller.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  };
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
  look();
}
