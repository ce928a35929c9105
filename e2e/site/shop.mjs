// The site behind the waiting room: a small shop that sells tickets, and remembers what it was asked.
import { createHash } from "node:crypto";
import { createServer } from "node:http";

const page = (title, body) => `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${title}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/assets/shop.css"></head>
<body><main data-shop><h1>${title}</h1>${body}</main></body>
</html>`;
const tickets = `<p>Row 7 is still free.</p>
<p><a href="/">Home</a> <a href="/tickets?day=3">Another day</a></p>
<form method="post" action="/tickets/order"><input type="hidden" name="seat" value="7-12"><button>Order</button></form>`;

/** Opens a shop: `{ url, requests, forget, close }`. */
export async function openShop() {
  const requests = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://shop");
    requests.push(asked(request, request.method));
    const send = (body, headers = {}, status = 200) => {
      response.writeHead(status, { "content-type": "text/html; charset=utf-8", ...headers });
      response.end(request.method === "HEAD" ? undefined : body);
    };
    request.resume().on("end", () => {
      switch (`${request.method} ${pathname}`) {
        case "GET /": return send(page("Lantern shop", `<p><a href="/tickets">Tickets</a></p>`));
        case "GET /tickets": return send(page("Tickets", tickets));
        case "POST /tickets/order": return send(page("Thank you", `<p>Your order is on its way.</p>`), { "anteroom-session": "end" });
        case "GET /api/seats": return send(`{"free":["7-12"]}`, { "content-type": "application/json" });
        case "GET /assets/shop.css": return send("main{font-family:sans-serif}", { "content-type": "text/css", "cache-control": "max-age=60" });
        case "GET /assets/logo.svg": return send(LOGO, { "content-type": "image/svg+xml" });
        default: return send(page("Not here", ""), {}, 404);
      }
    });
  });
  server.on("upgrade", (request, socket) => {
    requests.push(asked(request, "UPGRADE"));
    echo(request, socket);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const close = () => new Promise((done) => { server.close(done); server.closeAllConnections(); });
  // An edge that has not heard of a room lets requests through: those that found out whether it has.
  const forget = (host) => { for (let at = requests.length; at-- > 0;) if (requests[at].host.startsWith(host)) requests.splice(at, 1); };
  return { url: `http://127.0.0.1:${server.address().port}`, requests, forget, close };
}

/** What is remembered of a request. Not every door can ask in the name of the host that its visitor asked for, but each says which that was. */
const asked = ({ url, headers }, method) => ({ method, path: url, host: headers["x-forwarded-host"] ?? headers.host, headers });

const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40"><rect width="40" height="40" rx="10" fill="#b3471a"/>
<path d="M12 10h16v4l-5 6 5 6v4H12v-4l5-6-5-6z" fill="#fff"/><path d="M52 14h60v4H52zM52 24h40v4H52z" fill="#b3471a"/></svg>`;

// A web socket that says everything again: short text frames (RFC 6455), which is all that a browser sends of them here.
function echo(request, socket) {
  const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`);
  let heard = Buffer.alloc(0);
  socket.on("error", () => socket.destroy());
  socket.on("data", (bytes) => {
    heard = Buffer.concat([heard, bytes]);
    while (heard.length >= 6 && heard.length >= 6 + (heard[1] & 127)) {
      const [opcode, length] = [heard[0] & 15, heard[1] & 127];
      const mask = heard.subarray(2, 6);
      const text = Buffer.from(heard.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4]));
      heard = heard.subarray(6 + length);
      socket.write(Buffer.concat([Buffer.from([128 | opcode, length]), text]));
      if (opcode === 8) socket.end();
    }
  });
}
