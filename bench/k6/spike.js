// The moment of opening: from nearly nobody to PEAK requests a second within a second, and back.

import { publish, claim, check, outcome } from './sale.js';

const peak = Number(__ENV.PEAK || 2000);

export const options = {
  scenarios: {
    spike: {
      executor: 'ramping-arrival-rate', startRate: 10, timeUnit: '1s', preAllocatedVUs: 500, maxVUs: 4000,
      stages: [
        { duration: '5s', target: 10 },
        { duration: '1s', target: peak },
        { duration: '10s', target: peak },
        { duration: '1s', target: 10 },
        { duration: '5s', target: 10 },
      ],
    },
  },
  thresholds: outcome,
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'p(99.9)', 'max'],
};

export const setup = publish;
export default claim;
export const teardown = check;
