// Loaded in the head, before anything is drawn: the theme that the device asks for, where the person chose none.
(() => {
  const root = document.documentElement;
  if (root.dataset.theme === "light" || root.dataset.theme === "dark") return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => root.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
  follow();
  dark.addEventListener("change", follow);
})();
