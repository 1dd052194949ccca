// The stages that a public system of this kind set itself, with its threshold: 99 of 100 requests under 100 ms with up to
// 3,000 users at once, each of whom is answered, thinks for two seconds on average (THINK) and makes room for the next. That
// system held it only without saving to a database.

import { sleep } from 'k6';
import { publish, claim, check, outcome } from './sale.js';

const think = Number(__ENV.THINK || 2);

export const options = {
  scenarios: {
    stages: {
      executor: 'ramping-vus', startVUs: 0, gracefulRampDown: '5s',
      stages: [
        { duration: '10s', target: 500 },
        { duration: '10s', target: 3000 },
        { duration: '10s', target: 3000 },
        { duration: '10s', target: 0 },
      ],
    },
  },
  thresholds: { 'http_req_duration{name:claim}': ['p(99)<100'], ...outcome },
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'p(99.9)', 'max'],
};

export const setup = publish;
export default function (sale) {
  claim(sale);
  sleep(think * (0.5 + Math.random())); // on average; the same for all would keep them in step after any pause
}
export const teardown = check;
