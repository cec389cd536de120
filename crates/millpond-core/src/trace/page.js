
// Shows the title of the shape under the pointer at once; without scripts, the browser shows it
// after a while. The page is XML too, hence neither the less-than sign nor the ampersand.
(() => {
  const tooltip = document.getElementById("tooltip");
  const picture = document.querySelector(".picture");
  const texts = new WeakMap();

  const textOf = (element) => {
    for (let shape = element; shape !== picture; shape = shape.parentNode) {
      const title = [...shape.children].find((child) => child.localName === "title");
      if (title) {
        texts.set(shape, title.textContent);
        title.remove();
      }
      if (texts.has(shape)) return texts.get(shape);
    }
    return "";
  };

  picture.addEventListener("pointermove", (event) => {
    tooltip.textContent = event.target === picture ? "" : textOf(event.target);
    tooltip.hidden = tooltip.textContent === "";
    const right = Math.max(0, window.innerWidth - tooltip.offsetWidth - 8);
    const below = event.clientY + 18;
    const fits = window.innerHeight > below + tooltip.offsetHeight;
    tooltip.style.left = `${Math.min(event.clientX + 14, right)}px`;
    tooltip.style.top = `${fits ? below : event.clientY - tooltip.offsetHeight - 12}px`;
  });
  picture.addEventListener("pointerleave", () => { tooltip.hidden = true; });
})();
