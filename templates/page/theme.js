// Light or dark: as the system has it, until somebody chooses. The page's `charts` are drawn anew.

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  find("theme").textContent = theme === "dark" ? "Light" : "Dark";
  for (const chart of Object.values(charts)) chart.changed();
}

function switchTheme() {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setTheme(theme);
  try {
    localStorage.setItem("remote-prof-theme", theme);
  } catch {
    // A browser may keep nothing for files; the system's theme comes back then.
  }
}

function knownTheme() {
  try {
    return localStorage.getItem("remote-prof-theme");
  } catch {
    return null;
  }
}

function followTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  setTheme(knownTheme() ?? (system.matches ? "dark" : "light"));
  system.addEventListener("change", ({ matches }) => {
    if (!knownTheme()) setTheme(matches ? "dark" : "light");
  });
}
