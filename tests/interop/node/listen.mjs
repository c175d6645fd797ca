// Reads an event stream with one of npm's clients, a bearer in the header, and prints a line for each thing that happens.
// usage: node listen.mjs eventsource|eventsource-client URL, with the token in TOKEN
const [which, url] = process.argv.slice(2);
const headers = {Authorization: `Bearer ${process.env.TOKEN}`};
const say = (kind, data) => process.stdout.write(JSON.stringify([kind, data]) + "\n");
setInterval(() => {}, 1000); // between two connections nothing else keeps Node alive; the test ends it

if (which === "eventsource") {
  const {EventSource} = await import("eventsource");
  const source = new EventSource(url, {fetch: (input, init) => fetch(input, {...init, headers: {...init.headers, ...headers}})});
  source.onopen = () => say("open", "");
  source.onmessage = (event) => say("message", event.data);
  source.addEventListener("auth", (event) => { say("auth", JSON.parse(event.data).error); source.close(); });
  source.onerror = (event) => { if (event.code === 401) say("refused", String(event.code)); };
} else {
  const {createEventSource} = await import("eventsource-client");
  const source = createEventSource({
    url,
    headers,
    onConnect: () => say("open", ""),
    onMessage: ({event, data}) => {
      if (event === "auth") {
        say("auth", JSON.parse(data).error);
        source.close();
      } else say("message", data);
    },
  });
}
