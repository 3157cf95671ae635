// Keeps the text of an open page fresh: the page is fetched again and only its parts marked `data-live` are replaced,
// so numbers are formatted in one place, and scroll position, open details and focus stay.

/** Replaces the live parts by those of a fresh copy of the page. */
export async function refreshLiveParts() {
  const response = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next) continue;
    if (part.className !== next.className) part.className = next.className;
    if (part.innerHTML !== next.innerHTML) part.replaceChildren(...next.childNodes);
  }
}

/** Says in the header that the server does not answer; the next refresh says otherwise. */
export function showDisconnected() {
  const pill = document.getElementById("live-state");
  if (!pill) return;
  pill.className = "pill is-stopped";
  const dot = document.createElement("span");
  dot.className = "dot";
  dot.setAttribute("aria-hidden", "true");
  pill.replaceChildren(dot, "No connection");
}

/** Runs `task` every `periodMs`, never twice at once, and not while nobody looks. */
export function every(periodMs, task) {
  const turn = async () => {
    if (!document.hidden) await task();
    setTimeout(turn, periodMs);
  };
  setTimeout(turn, periodMs);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) task();
  });
}
