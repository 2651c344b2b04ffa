-- How many authorizations of an account are pending is asked for with each order.

CREATE INDEX authorizations_pending
    ON authorizations (json_extract(body, '$.account'), expires_at)
    WHERE json_extract(body, '$.state.status') = 'pending';
