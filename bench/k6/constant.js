// Users who come at a constant rate, whether they are answered or not (RATE a second, for DURATION): the latency that a
// shop sees below its limit.

import { publish, claim, check, outcome } from './sale.js';

const rate = Number(__ENV.RATE || 500);

export const options = {
  scenarios: {
    constant: {
      executor: 'constant-arrival-rate', rate, timeUnit: '1s', duration: __ENV.DURATION || '30s',
      preAllocatedVUs: 200, maxVUs: 2000,
    },
  },
  thresholds: { 'http_req_duration{name:claim}': ['p(99)<100'], dropped_iterations: ['count==0'], ...outcome },
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'p(99.9)', 'max'],
};

export const setup = publish;
export default claim;
export const teardown = check;
