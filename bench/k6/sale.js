// What the three scripts share: tokens, a coupon of their own, the claim, and the outcome that must come of it.
//
// Environment, as `make k6` sets it: API (base URLs, comma-separated), SECRET (HS256), PLACES (coupons there are).

import crypto from 'k6/crypto';
import encoding from 'k6/encoding';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter } from 'k6/metrics';
import { fail } from 'k6';

const apis = (__ENV.API || 'http://127.0.0.1:8080').split(',');
const secret = __ENV.SECRET || fail('SECRET is not set: run this by `make k6`');
export const places = Number(__ENV.PLACES || 100000);

// accepted are new places (202), again receipts of places that the user had (200), refused "sold out", and unclear what a
// client has to ask again for: 503 or no answer at all. Anything else is a mistake.
export const accepted = new Counter('accepted');
export const again = new Counter('again');
export const refused = new Counter('refused');
export const unclear = new Counter('unclear');
export const mistakes = new Counter('mistakes');

// thresholds of every script: never one too many, nothing that the contract does not know.
export const outcome = { accepted: [`count<=${places}`], mistakes: ['count==0'] };

const header = encoding.b64encode(JSON.stringify({ alg: 'HS256', typ: 'JWT' }), 'rawurl');

export function token(user, roles) {
  const claims = { sub: user, exp: Math.floor(Date.now() / 1000) + 3600 };
  if (roles) claims.roles = roles;
  const body = `${header}.${encoding.b64encode(JSON.stringify(claims), 'rawurl')}`;
  return `${body}.${crypto.hmac('sha256', secret, body, 'base64rawurl')}`;
}

function create(path, body) {
  const answer = http.post(apis[0] + path, JSON.stringify(body), {
    headers: { Authorization: `Bearer ${token('k6', ['admin'])}`, 'Content-Type': 'application/json' },
    tags: { name: 'setup' },
  });
  if (answer.status !== 201) fail(`${path}: ${answer.status} ${answer.body}`);
  return answer.json('id');
}

// publish is the setup: a vendor and a coupon that is open now.
export function publish() {
  const name = `k6 ${Date.now()} ${Math.random()}`;
  const vendor = create('/v1/admin/vendors', { name });
  return {
    coupon: create('/v1/admin/coupons', {
      name, vendor_id: vendor, total_quantity: places, opens_at: '2026-01-01T00:00:00Z', closes_at: '2099-01-01T00:00:00Z',
    }),
  };
}

// claim is one user's request; every iteration is another user.
export function claim(sale) {
  const n = exec.scenario.iterationInTest;
  const answer = http.post(`${apis[n % apis.length]}/v1/coupons/${sale.coupon}/issues`, null, {
    headers: { Authorization: `Bearer ${token(`k6-${sale.coupon}-${n}`)}` }, tags: { name: 'claim' },
  });
  switch (answer.status) {
    case 202: accepted.add(1); break;
    case 200: again.add(1); break;
    case 409: (answer.json('code') === 'sold_out' ? refused : mistakes).add(1); break;
    case 0: case 503: unclear.add(1); break;
    default: mistakes.add(1);
  }
}

// check is the teardown: the gate has given exactly the places there are, or all that were asked for. `make k6` runs
// `batch verify` after it, which compares gate, topic and rows.
export function check(sale) {
  const answer = http.get(`${apis[0]}/v1/coupons/${sale.coupon}`, { tags: { name: 'setup' } });
  if (answer.status !== 200) fail(`the coupon cannot be read: ${answer.status} ${answer.body}`);
  const left = answer.json('remaining');
  if (left < 0 || left > places) fail(`${left} of ${places} places are left`);
  console.log(`coupon ${sale.coupon}: ${places - left} of ${places} places taken`);
}
