import { once } from 'node:events';
import { createServer as http } from 'node:http';
import { createServer as https } from 'node:https';

// A server on a port that the system chose, and its origin. Who answers is added later (`on('request')`), because an
// authorization server has to know its own address first. `tls`: options of node:tls, or nothing for plain http.
export async function listen(tls) {
  const server = tls ? https(tls) : http();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.origin = `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
  return server;
}
