// A client in TypeScript as its author would write it: every call and every member is checked against the document.
import createClient from "openapi-fetch";
import type { components, paths } from "./product.js";

type Book = components["schemas"]["BookPublic"];
type Problem = components["schemas"]["Problem"];
type Page = components["schemas"]["Page_BookPublic_"];

const api = createClient<paths>({
  baseUrl: "http://localhost",
  // Lists are separated by commas, as the document says of each of them.
  querySerializer: { array: { style: "form", explode: false } },
});

/** The words of an error; only a 422 always lists its faults. */
function explain(problem: Problem): string {
  const faults: string[] = (problem.errors ?? []).map((fault) => `${fault.loc.join(".")}: ${fault.msg}`);
  return `${problem.status} ${problem.code}: ${problem.detail} ${faults.join("; ")}`;
}

export async function signIn(username: string, password: string): Promise<string> {
  const { data, error } = await api.POST("/api/v1/auth/login", {
    body: { username, password },
    bodySerializer: (form) => new URLSearchParams({ ...form }),
  });
  if (error) throw new Error(explain(error));
  return data.access_token;
}

/** Every title below a price, page by page. */
export async function cheapTitles(price: number): Promise<string[]> {
  const titles: string[] = [];
  let cursor: string | null | undefined;
  do {
    const query = { price__lt: price, sort: ["-price" as const, "title" as const], id__in: [1, 2, 3], size: 20 };
    const { data, error } = await api.GET("/api/v1/books", { params: { query: cursor ? { cursor } : query } });
    if (error) throw new Error(explain(error));
    // No `fields` were asked for, so every row is whole.
    const page = data as Page;
    titles.push(...page.items.map((book: Book) => book.title));
    cursor = page.next_cursor;
  } while (cursor);
  return titles;
}

export async function liveOfABook(token: string): Promise<void> {
  const headers = { Authorization: `Bearer ${token}` };
  const created = await api.POST("/api/v1/books", {
    headers,
    params: { header: { "Idempotency-Key": "b2f6" } },
    body: { title: "Momo", author: "Michael Ende", price: 12.5, category_id: 1, stock: 3 },
  });
  if (created.error) throw new Error(explain(created.error));
  const id: number = created.data.id;
  const tag = created.response.headers.get("ETag") ?? "*";

  const found = await api.GET("/api/v1/books/{id}", { params: { path: { id }, header: { "If-None-Match": tag } } });
  if (found.error) throw new Error(explain(found.error));

  const params = { path: { id }, header: { "If-Match": tag } };
  const changed = await api.PATCH("/api/v1/books/{id}", { headers, params, body: { price: "13.00" } });
  if (changed.error?.code === "stale") return liveOfABook(token);
  const category: number | undefined = changed.data?.category_id;

  const many = await api.POST("/api/v1/books/batch", {
    headers,
    body: [1, 2].map((part) => ({ title: `Part ${part}`, author: "A", price: part, category_id: category ?? 1 })),
  });
  const made = many.data ?? [];
  const ids: number[] = (Array.isArray(made) ? made : made.items).map((book) => book.id);
  await api.PATCH("/api/v1/books/batch", { headers, body: ids.map((each) => ({ id: each, stock: 1, description: null })) });
  await api.DELETE("/api/v1/books/batch", { headers, params: { query: { ids } } });

  const deleted = await api.DELETE("/api/v1/books/{id}", { headers, params });
  if (deleted.error) throw new Error(explain(deleted.error));
}

/** Books that are cheap or of an author: filters joined by OR are JSON text. */
export async function cheapOrBy(author: string): Promise<number> {
  const any = JSON.stringify([{ price__lt: 5 }, { author, stock__gt: 0 }]);
  const { data } = await api.GET("/api/v1/books", { params: { query: { any, size: 1 } } });
  return data?.total ?? 0;
}

type Status = components["schemas"]["BookingStatus"];

/** A parameter takes the enum of the member, and null is where the document has it. */
export async function bookings(status: Status): Promise<(number | null)[]> {
  const { data } = await api.GET("/api/v1/bookings", { params: { query: { status, status__in: [status, "PENDING"] } } });
  const page = data as components["schemas"]["Page_BookingPublic_"] | undefined;
  return (page?.items ?? []).map((booking) => booking.vehicle_id);
}
