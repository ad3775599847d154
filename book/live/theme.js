// As dark as the book, which remembers what its reader chose; else as the system. Loaded before the
// page is drawn, hence no module.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    let chosen = null;
    try { chosen = localStorage.getItem("mode"); } catch { /* storage is switched off */ }
    const dark = chosen === "dark" || (chosen !== "light" && system.matches);
    document.documentElement.classList.toggle("dark", dark);
  };
  system.addEventListener("change", paint);
  paint();
})();
