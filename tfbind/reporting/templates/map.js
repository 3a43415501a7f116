(() => {
  "use strict";
  const by = (id) => document.getElementById(id);
  const data = JSON.parse(by("map-data").textContent);
  const map = by("map"), ring = by("map-ring"), thumb = by("map-thumb");
  let shown = 0;

  function show(i) {
    shown = i;
    const [x, y] = data.points[i];
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    by("map-name").textContent = data.names[i];
    by("map-cluster").textContent = `${data.kind} ${data.clusters[i]}`;
    by("map-cluster").href = `#c${data.clusters[i]}`;
    by("map-sure").textContent = `probability ${data.sure[i].toFixed(2)}`;
    by("map-row").textContent = data.rows ? data.rows[i] : "";
    if (thumb) {
      const column = i % data.columns, row = Math.floor(i / data.columns);
      thumb.style.backgroundPosition =
        `${(100 * column) / Math.max(1, data.columns - 1)}% ${(100 * row) / Math.max(1, data.height - 1)}%`;
    }
  }

  function nearest(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
    let best = 0, least = Infinity;
    data.points.forEach(([x, y], i) => {
      const distance = (x - at.x) ** 2 + (y - at.y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    });
    show(best);
  }

  map.addEventListener("pointermove", nearest);
  map.addEventListener("pointerdown", nearest);
  map.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show((shown + step + data.points.length) % data.points.length);
  });
  show(0);
})();
