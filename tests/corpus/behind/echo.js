// Says, in a header of its answer, what it understood of each request.
'use strict';
const crypto = require('node:crypto');
const http = require('node:http');

const server = http.createServer({ maxHeaderSize: 1 << 20, keepAliveTimeout: 120000, requestTimeout: 0 });
server.on('request', (request, response) => {
  const hash = crypto.createHash('sha256');
  request.on('data', (piece) => hash.update(piece));
  request.on('end', () => {
    const understood = {
      method: request.method,
      target: request.url,
      fields: Object.entries(request.headers),
      body: hash.digest('hex'),
    };
    response.setHeader('X-Understood', Buffer.from(JSON.stringify(understood)).toString('base64'));
    response.end('ok');
  });
});
server.maxHeadersCount = 0;
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'));
