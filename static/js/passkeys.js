// Passkeys: a question of the server's goes to an authenticator, and its answer back with the form.
const form = document.querySelector("form[data-passkey]");
const { sealed, answer } = form.elements;
const refused = form.querySelector("[data-passkey-refused]");
const { passkey: source } = form.dataset;

// A question that came with the page asks for a new passkey; the one for signing in is fetched when it is wanted.
async function ask() {
  if (!source.startsWith("/")) {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(source));
    return navigator.credentials.create({ publicKey });
  }
  const response = await fetch(source, { method: "POST" });
  if (!response.ok) throw new Error(response.statusText);
  const question = await response.json();
  sealed.value = question.sealed;
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(question.options);
  return navigator.credentials.get({ publicKey });
}

form.addEventListener("submit", async (event) => {
  if (answer.value) return; // On to the server.
  event.preventDefault();
  event.stopPropagation();
  refused.hidden = true;
  try {
    answer.value = JSON.stringify(await ask());
    form.requestSubmit();
  } catch {
    // Cancelled, too late, no passkey, or no server: the browser has said which.
    refused.hidden = false;
  }
});
// Back from the next page: an answer is good once.
addEventListener("pageshow", () => (answer.value = ""));

if (window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
  form.hidden = false;
  document.querySelector("[data-passkey-absent]")?.remove();
}
