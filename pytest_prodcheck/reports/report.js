// pytest-html's page has no viewport of its own: telephones would show it as wide as a desktop, too small to read.
document.head.append(Object.assign(document.createElement("meta"), { name: "viewport", content: "width=device-width" }));
// Opens the details of warned checks: pytest-html folds them up with the passed ones.
addEventListener("load", () => {
  if (new URLSearchParams(location.search).has("collapsed")) return;
  for (let left = 50; left > 0; left--) {
    const folded = [...document.querySelectorAll("#results-table .col-result.collapsed")]
      .find((cell) => cell.parentElement.querySelector(".pc-is-warned"));
    if (!folded) return;
    folded.click();
  }
});
