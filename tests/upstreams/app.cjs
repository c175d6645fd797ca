// Node's own server, asked by path for what servers do: `node app.cjs <port> <file that notes what was done>`.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');

const [port, notes] = [Number(process.argv[2]), process.argv[3]];
const server = http.createServer({ keepAliveTimeout: 120000, requestTimeout: 0 });
let connections = 0;
const open = new Set();
server.on('connection', (socket) => {
  socket.number = ++connections;
  open.add(socket);
  socket.on('close', () => open.delete(socket));
});

const answers = {
  '/echo': (request, response) => request.pipe(response),
  '/sized': (request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces);
      response.setHeader('Content-Length', body.length);
      response.end(body);
    });
  },
  '/hints': (request, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' }, () => {
      response.writeProcessing();
      response.end('hinted');
    });
  },
  '/trailers': (request, response) => {
    const hash = crypto.createHash('sha256');
    request.on('data', (piece) => hash.update(piece));
    request.on('end', () => {
      response.writeHead(200, { Trailer: 'X-Digest, X-Sent' });
      response.write('with trailers');
      response.addTrailers({ 'X-Digest': hash.digest('hex'), 'X-Sent': request.trailers['x-checksum'] ?? 'none' });
      response.end();
    });
  },
  // answers without reading, and goes: in good order, or with a reset
  '/enough': (request, response) => {
    response.writeHead(413, { Connection: 'close', 'Content-Length': 6 });
    response.end('enough', () => request.socket.destroySoon());
  },
  '/reset': (request, response) => {
    response.writeHead(401, { 'Content-Length': 2 });
    response.end('no', () => setImmediate(() => request.socket.resetAndDestroy()));
  },
  '/done': (request, response) => {
    fs.appendFileSync(notes, `${request.headers['x-number']}\n`);
    request.resume();
    request.on('end', () => response.end('done'));
  },
  // for the test itself: closes what nothing is under way on
  '/idle': (request, response) => {
    for (const socket of open) if (!socket.busy) socket.end();
    response.end();
  },
  '/close': (request, response) => {
    response.setHeader('Connection', 'close');
    response.end('closing');
  },
};

function answer(request, response) {
  request.socket.busy = true;
  response.on('finish', () => (request.socket.busy = false));
  response.setHeader('X-Method', request.method);
  response.setHeader('X-Framed', request.headers['content-length'] ?? request.headers['transfer-encoding'] ?? 'none');
  response.setHeader('X-Connection', request.socket.number);
  response.setHeader('X-Pid', process.pid);
  const status = /^\/status\/(\d+)$/.exec(request.url);
  if (status) {
    response.writeHead(Number(status[1]));
    response.end();
  } else {
    answers[request.url](request, response);
  }
}

server.on('request', answer);
server.on('checkContinue', (request, response) => {
  if (request.url === '/enough') {
    response.writeHead(417, { 'Content-Length': 2 });
    response.end('no');
  } else {
    response.writeContinue();
    answer(request, response);
  }
});
server.on('upgrade', (request, socket) => {
  const accept = crypto
    .createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.on('data', (frame) => {
    // the payload of a short masked frame, back without a mask
    const size = frame[1] & 0x7f;
    const payload = Buffer.from(frame.subarray(6, 6 + size).map((byte, place) => byte ^ frame[2 + (place % 4)]));
    socket.write(Buffer.concat([Buffer.from([frame[0], size]), payload]));
    if ((frame[0] & 0x0f) === 8) socket.end();
  });
});
server.listen(port, '127.0.0.1', () => console.log('listening'));
