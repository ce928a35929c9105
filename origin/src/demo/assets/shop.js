"use strict";
(() => {
  const left = document.getElementById("left");
  const end = performance.now() + left.dataset.sec * 1000;
  const timer = setInterval(() => {
    const sec = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    left.textContent = `${Math.floor(sec / 60)}:${String(sec % 60).padStart(2, "0")}`;
    // The server says what comes after.
    if (sec === 0) { clearInterval(timer); setTimeout(() => location.reload(), 1000); }
  }, 1000);
})();
