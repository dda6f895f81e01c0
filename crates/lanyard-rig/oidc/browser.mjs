// What a person's browser does at the provider: argv[2] is the page, argv[3] the person. It follows redirects with a jar of
// cookies and sends the forms of the pages off until a page has none; the last page goes to stdout.
const [, , first, person] = process.argv;
const ANSWERS = { login: person, password: "correct horse" };
const STEPS = 20;

const jar = new Map();

function keep(origin, response) {
  for (const line of response.headers.getSetCookie()) {
    const [pair, ...attributes] = line.split(";");
    const [name, value] = pair.split(/=(.*)/s);
    const path = attributes.map((one) => one.trim().split("=")).find(([key]) => key.toLowerCase() === "path")?.[1] ?? "/";
    const id = `${origin} ${path} ${name}`;
    if (value === "") jar.delete(id);
    else jar.set(id, { origin, path, pair });
  }
}

function cookies(url) {
  const sent = [...jar.values()].filter(({ origin, path }) => origin === url.origin && url.pathname.startsWith(path));
  return sent.map(({ pair }) => pair).join("; ");
}

function form(page, url) {
  const found = page.match(/<form([^>]*)>(.*?)<\/form>/s);
  if (!found) return undefined;
  const attribute = (text, name) => text.match(new RegExp(`${name}="([^"]*)"`))?.[1];
  const fields = [...found[2].matchAll(/<input([^>]*)>/gs)].map(([, text]) => {
    const name = attribute(text, "name");
    return [name, attribute(text, "value") ?? ANSWERS[name] ?? ""];
  });
  return { url: new URL(attribute(found[1], "action") ?? url, url), body: new URLSearchParams(fields) };
}

let next = { url: new URL(first) };
for (let step = 0; next; step++) {
  if (step === STEPS) throw new Error("the pages do not end");
  const { url, body } = next;
  const method = body ? "POST" : "GET";
  const response = await fetch(url, { method, body, redirect: "manual", headers: { cookie: cookies(url) } });
  keep(url.origin, response);
  const to = response.headers.get("location");
  const page = await response.text();
  if (response.status >= 400) throw new Error(`${url.origin}${url.pathname} answered ${response.status}: ${page}`);
  next = to ? { url: new URL(to, url) } : form(page, url);
  if (!next) console.log(page);
}
