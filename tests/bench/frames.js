// Keeps the script time of every redraw of the ring.
window.frames_ms = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntriesByName("ring-frame")) window.frames_ms.push(entry.duration);
}).observe({ entryTypes: ["measure"] });
