"use strict";
// Follows the service: asks for the same page again and again, and changes what differs, so
// that whatever the reader has opened, scrolled to or focused stays as it is.

const EVERY = 1500;
const LATE = 5000;
const SILENCE = "The service does not answer";
const button = document.getElementById("follow");
const news = document.getElementById("news");
let following = true;
let timer = 0;

function key(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "";
}

function alike(one, other) {
  return one.nodeName === other.nodeName && key(one) === key(other);
}

function change(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (!alike(old, fresh) || old.nodeName === "svg") {
    old.replaceWith(document.importNode(fresh, true));
  } else if (old.nodeType === Node.ELEMENT_NODE) {
    changeAttributes(old, fresh);
    changeChildren(old, fresh);
  } else {
    old.nodeValue = fresh.nodeValue;
  }
}

function changeAttributes(old, fresh) {
  // What is open is up to the reader, but for what has just become worth seeing.
  if (fresh.hasAttribute("data-open") && !old.hasAttribute("data-open")) old.open = true;
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function changeChildren(old, fresh) {
  const keyed = new Map();
  for (const child of old.childNodes) {
    if (key(child)) keyed.set(key(child), child);
  }
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const known = key(child) && keyed.get(key(child));
    if (known && alike(known, child)) {
      if (known === at) at = at.nextSibling;
      else old.insertBefore(known, at);
      keyed.delete(key(child));
      change(known, child);
    } else if (at && !key(at) && !key(child) && alike(at, child)) {
      const next = at.nextSibling;
      change(at, child);
      at = next;
    } else {
      old.insertBefore(document.importNode(child, true), at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

async function request() {
  // Of a service that hangs an answer may come yet, and is waited for.
  const late = setTimeout(() => tell(SILENCE), LATE);
  try {
    return await fetch(location.href, { cache: "no-store" });
  } finally {
    clearTimeout(late);
  }
}

async function look() {
  try {
    const answer = await request();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!page.getElementById("main")) throw new Error("no page");
    document.title = page.title;
    for (const id of ["clock", "main"]) {
      change(document.getElementById(id), page.getElementById(id));
    }
    tell("");
  } catch {
    tell(SILENCE);
  }
}

function tell(text) {
  if (news.textContent !== text) news.textContent = text;
}

function schedule() {
  clearTimeout(timer);
  if (following && !document.hidden) timer = setTimeout(follow, EVERY);
}

async function follow() {
  await look();
  schedule();
}

button.hidden = false;
button.addEventListener("click", () => {
  following = !following;
  button.textContent = following ? "Pause" : "Follow";
  if (following) follow();
  else clearTimeout(timer);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else if (following) follow();
});
schedule();
