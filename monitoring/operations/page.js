(() => {
  const age = s => s < 120 ? Math.floor(s) + " s" : s < 7200 ? Math.floor(s / 60) + " min"
    : s < 172800 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " d";
  const tick = () => {
    for (const e of document.querySelectorAll("[data-at]")) {
      const s = Date.now() / 1000 - e.dataset.at, limit = +e.dataset.limit;
      const stale = limit > 0 && s > limit;
      e.classList.toggle("stale", stale);
      e.textContent = s < -60 ? "clocks differ" : age(Math.max(s, 0)) + " ago" + (stale ? ", stale" : "");
    }
  };
  tick();
  setInterval(tick, 5000);
})();
