// Small behaviour that any page may use: a button that copies the field named in its data-copy.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  const label = button.querySelector("[data-copy-label]");
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    label.textContent = "Copied";
  } catch {
    label.textContent = "Selected: press Ctrl+C"; // no clipboard over plain http
  }
});
