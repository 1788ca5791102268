/* Live pages: one socket that comes back by itself.

   studio.follow(path, { opening, receive })
     opening()         query string for every (re)connection, so that the server sends what was missed: "after=17"
     receive(message)  one JSON message
     quiet             says nothing of the connection
   What it gives back has say(text), for sockets that listen.
   The state of the connection stands in the page's [data-live-state]. */
"use strict";

const studio = (window.studio = window.studio || {});

const FIRST_WAIT = 500;
const LONGEST_WAIT = 20000;
const SILENCE = 35000; // the server says something every ten seconds: longer than this, the line is dead
const OVER = { 4401: "You are signed out. Load the page again.", 4403: "This is not open to you any more.", 4404: "This is gone." };

studio.follow = (path, { opening = () => "", receive, quiet = false }) => {
  const base = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
  let wait = FIRST_WAIT;
  let socket = null;
  let deadline = null;
  let retry = null;
  let over = false;

  const tell = (state, text) => {
    if (quiet) return;
    for (const place of document.querySelectorAll("[data-live-state]")) {
      place.dataset.liveState = state;
      if (place.textContent !== text) place.textContent = text;
    }
  };

  const heard = () => {
    clearTimeout(deadline);
    deadline = setTimeout(() => socket.close(), SILENCE);
  };

  const connect = () => {
    clearTimeout(retry);
    const query = opening();
    socket = new WebSocket(query ? `${base}?${query}` : base);
    heard();
    socket.onmessage = (event) => {
      heard();
      wait = FIRST_WAIT;
      tell("live", "Live");
      const message = JSON.parse(event.data);
      if (message.type !== "tick") receive(message);
    };
    socket.onclose = (event) => {
      clearTimeout(deadline);
      if (over) return;
      if (OVER[event.code]) {
        over = true;
        tell("over", OVER[event.code]);
        return;
      }
      tell("waiting", "Not live: connecting again …");
      retry = setTimeout(connect, wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, LONGEST_WAIT);
    };
  };

  // A page that comes back to the front, or a machine that wakes up, does not wait.
  const hurry = () => {
    if (!over && document.visibilityState === "visible" && socket.readyState === WebSocket.CLOSED) {
      wait = FIRST_WAIT;
      connect();
    }
  };
  document.addEventListener("visibilitychange", hurry);
  window.addEventListener("online", hurry);
  window.addEventListener("pagehide", () => {
    over = true;
    clearTimeout(retry);
    clearTimeout(deadline);
    socket.close();
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  connect();
  return { say: (text) => socket.readyState === WebSocket.OPEN && socket.send(text) };
};

/* Puts a part of a page in place, as the server drew it; the keyboard's focus stays where it was. */
studio.put = (place, html) => {
  if (!place) return;
  const held = place.contains(document.activeElement) ? document.activeElement.id : "";
  place.innerHTML = html;
  if (window.htmx) window.htmx.process(place);
  if (held) document.getElementById(held)?.focus();
};
