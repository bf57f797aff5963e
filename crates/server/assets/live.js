// The log of a build, as it is written. Without this script the page shows it as it was when it was loaded.
(() => {
  const log = document.getElementById("log");
  if (!log || !log.dataset.events || !window.EventSource) return;
  // A browser that loses the connection comes back by itself, with the identifier of the last line: the server goes on there.
  const events = new EventSource(log.dataset.events);
  events.addEventListener("line", (event) => {
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(event.data + "\n");
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  });
  events.addEventListener("job", () => {
    events.close();
    // What there is to say about a build that has ended is the server's to say.
    window.location.reload();
  });
  log.scrollTop = log.scrollHeight;
})();
