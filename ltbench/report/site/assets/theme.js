"use strict";
// Runs before the page is painted, so that a chosen theme does not flash the other one first.
try {
  const theme = localStorage.getItem("ltbench-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be refused; the system's own setting then stands.
}
