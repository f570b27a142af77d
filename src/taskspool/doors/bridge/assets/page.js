"use strict";
// Live numbers every two seconds while the page is looked at, and a button to copy each command.

const pulse = document.getElementById("pulse");

async function refresh() {
  if (document.hidden) return;
  try {
    const reply = await fetch("api/stats", { headers: { Accept: "application/json" } });
    if (!reply.ok) throw new Error(String(reply.status));
    const stats = await reply.json();
    for (const cell of document.querySelectorAll("[data-count]")) {
      cell.textContent = Number(stats[cell.dataset.count]).toLocaleString("en");
    }
    pulse.textContent = "live";
  } catch {
    pulse.textContent = "the bridge does not answer; trying again";
  }
}

function addCopyButton(article) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy: " + article.querySelector("h3").textContent);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(article.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  article.append(button);
}

document.querySelectorAll("article").forEach(addCopyButton);
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, 2000);
refresh();
