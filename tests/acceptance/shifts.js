// Keeps what moved without anybody having pressed anything. Two lists move by design, newest first, and can be paused.
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const outside = entry.sources.filter(({ node }) => !node?.closest?.("#tail-body, #body"));
    if (entry.hadRecentInput || outside.length === 0) continue;
    const names = outside.map(({ node }) => `${node?.nodeName}#${node?.id}.${node?.getAttribute?.("class")}`);
    window.shifts.push({ atMs: entry.startTime, value: entry.value, names });
  }
}).observe({ type: "layout-shift", buffered: true });
