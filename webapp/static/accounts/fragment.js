/* Takes the code out of a link's fragment into the form's field, so that it travels in the body of a POST, and out of
   the address bar and the history. Without this script the person pastes the code. */
"use strict";

const field = document.querySelector("[data-from-fragment]");
const secret = window.location.hash.slice(1);

if (field && secret) {
  window.history.replaceState(null, "", window.location.pathname + window.location.search);
  field.value = secret;
  const form = field.form;
  if (form.hasAttribute("data-submit-from-fragment")) form.requestSubmit();
}
