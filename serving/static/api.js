// The JSON routes of docs/API.md.

/** An error envelope as an exception; `code` is what to branch on. */
export class ApiError extends Error {
  constructor(status, envelope) {
    super(envelope?.message ?? `status ${status}`);
    this.code = envelope?.code ?? "unreadable";
    this.status = status;
  }
}

/** The answer of a route; parameters that are empty are left out. */
export async function get(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== "" && value != null) query.set(name, value);
  }
  const response = await fetch(`${path}?${query}`, { headers: { accept: "application/json" } });
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, body?.error);
  return body;
}
